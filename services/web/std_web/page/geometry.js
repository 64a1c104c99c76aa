// Resolution: from a place on the detector to the scattering angle and to the spacing of lattice planes.

// What crystallographers put rings at, in ångström.
const SPACINGS = [20, 15, 10, 8, 6, 5, 4, 3.5, 3, 2.5, 2.2, 2, 1.8, 1.6, 1.4, 1.2, 1.1, 1, 0.9, 0.8, 0.7, 0.6, 0.5];

/** What is known of where the detector is; null if that is too little for rings. */
export function geometryOf(detector) {
  const found = detector.geometry;
  if (!found?.pixel_size_m || !found.distance_m || !found.beam_center_px) return null;
  const [width, height] = [].concat(found.pixel_size_m, found.pixel_size_m);
  return { width, height, distance: found.distance_m, x: found.beam_center_px[0], y: found.beam_center_px[1], wavelength: found.wavelength_angstrom ?? null };
}

/** Return the scattering angle 2θ at a place, in radians. */
export function angleAt(geometry, x, y) {
  return Math.atan(Math.hypot((x - geometry.x) * geometry.width, (y - geometry.y) * geometry.height) / geometry.distance);
}

/** Return the spacing of lattice planes d at a place, in ångström; null without a wavelength. */
export function spacingAt(geometry, x, y) {
  const angle = angleAt(geometry, x, y);
  return geometry.wavelength && angle > 0 ? geometry.wavelength / (2 * Math.sin(angle / 2)) : null;
}

/** Return at most six rings that cross the image: {words, rx, ry}, the radii in pixels. */
export function rings(geometry, width, height) {
  const corners = [[0, 0], [width, 0], [0, height], [width, height]].map(([x, y]) => angleAt(geometry, x, y));
  const largest = Math.max(...corners);
  const candidates = geometry.wavelength
    ? SPACINGS.filter((d) => geometry.wavelength < 2 * d).map((d) => ({ words: `${d} Å`, angle: 2 * Math.asin(geometry.wavelength / (2 * d)) }))
    : Array.from({ length: 90 }, (_, i) => ({ words: `2θ ${i + 1}°`, angle: ((i + 1) * Math.PI) / 180 }));
  const visible = candidates.filter(({ angle }) => angle < largest && angle < Math.PI / 2);
  const radius = ({ angle }) => Math.tan(angle) * geometry.distance;
  const chosen = [];
  const room = (Math.tan(largest) * geometry.distance) / 7;
  for (const ring of visible) if (!chosen.length || radius(ring) - radius(chosen.at(-1)) >= room) chosen.push(ring);
  return chosen.slice(-6).map((ring) => ({ words: ring.words, rx: radius(ring) / geometry.width, ry: radius(ring) / geometry.height }));
}
