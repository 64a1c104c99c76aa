// The form of a write request: all its options, and the file that it would have, while it is typed.
import { choice, field, h, say } from "./elements.js";
import { Refused } from "./server.js";

const PREVIEW_MS = 350;
const FORMATS = {
  images: [["hdf5", "HDF5 (NeXus)"], ["pff", "PFF, for telescopes"]],
  tpc: [["hdf5", "merged file"], ["graw", "raw frames"], ["hdf5+graw", "both"]],
};
// Of the request: name, label, hint, attributes of the input. "text" is one word or more; all others are numbers.
const NUMBERS = [
  ["images_per_file", "Images in each file", "none: one file", { min: 1, step: 1 }],
  ["n_files", "Number of files", "instead of images in each file", { min: 1, step: 1 }],
  ["start_image_id", "First image", "its id; none: the next one", { min: 0, step: 1 }],
  ["first_image_timeout_s", "Longest wait for the first image (s)", "none: as configured", { min: 0, step: "any" }],
  ["image_timeout_s", "Longest wait for each further image (s)", "none: as configured", { min: 0, step: "any" }],
];
const EXPERIMENT = [
  ["title", "Title", "text"], ["sample_name", "Sample", "text"], ["sample_description", "Description of the sample", "text"],
  ["user_name", "User", "text"], ["proposal", "Proposal", "text"], ["instrument_name", "Beamline", "text"], ["source_name", "Facility", "text"],
  ["wavelength_angstrom", "Wavelength (Å)"], ["photon_energy_ev", "or photon energy (eV)"], ["distance_m", "Distance (m)"],
  ["count_time_s", "Exposure time (s)"], ["frame_time_s", "Period (s)"], ["transmission", "Transmission (0 to 1)"], ["flux_hz", "Photons per second"],
  ["sample_temperature_k", "Temperature of the sample (K)"], ["saturation_value", "Largest valid value"], ["underload_value", "Smallest valid value"],
];

/** Return the form: {element, suggest(file), focus(), close(), started}. `onstart(run)` is called with a run that was started. */
export function runForm(context, onstart) {
  const inputs = new Map();
  const users = context.detector.file_users ?? [];
  const isOfImages = context.detector.system === "images";
  const number = (name, attributes = {}) => remember(name, h("input", { type: "number", name, inputmode: "decimal", ...attributes }), Number);
  const text = (name, attributes = {}) => remember(name, h("input", { type: "text", name, autocomplete: "off", spellcheck: "false", ...attributes }), String);
  const pick = (name, options) => remember(name, choice(options, options[0][0], () => {}, { name }), String);
  // Users are names or numbers, and the request has them as the configuration does.
  const owner = () => remember("user", choice([["", "as configured"], ...users.map((user) => [String(user), String(user)])], "", () => {}, { name: "user" }), (name) => users.find((user) => String(user) === name));
  const json = (name, rows) => remember(name, h("textarea", { name, rows, spellcheck: "false" }), JSON.parse);
  function remember(name, input, read) {
    inputs.set(name, { input, read });
    return input;
  }

  const file = text("output_file", { required: true, placeholder: "/data/run_{number:04}.h5", "aria-describedby": "run-preview" });
  const preview = h("output", { class: "preview mono", id: "run-preview", "aria-live": "polite" }, "The file is shown here as soon as there is a name.");
  const complaint = h("p", { class: "complaint", role: "alert", hidden: true });
  const start = h("button", { type: "submit", class: "main" }, "Start the run");
  const nImages = number("n_images", { min: 1, step: 1, placeholder: "until killed" });
  const form = h("form", { class: "run-form", novalidate: true, onsubmit: (event) => submit(event), oninput: () => changed() },
    field("File", file, "{number} or {number:04} counts up by itself."), preview,
    h("div", { class: "pair" },
      field(isOfImages ? "Images" : "Events", nImages, "none: until killed"),
      field("If the file exists", pick("conflict", [["refuse", "refuse"], ["rename", "add a number"]]))),
    h("div", { class: "pair" },
      field("Format", pick("format", FORMATS[isOfImages ? "images" : "tpc"])),
      field("Compression", pick("compression", [["none", "none"], ["bslz4", "bitshuffle LZ4"], ["bszstd", "bitshuffle Zstandard"]]))),
    section("Experiment", h("div", { class: "pair" }, EXPERIMENT.map(([name, label, kind]) => field(label, (kind ? text : number)(`experiment.${name}`, kind ? {} : { step: "any" })))),
      field("Further keys", json("experiment", 3), 'JSON, such as {"goniometer": [{"name": "omega", "vector": [-1, 0, 0], "start_deg": 0, "increment_deg": 0.1}]}')),
    section("Further options", h("div", { class: "pair" }, NUMBERS.map(([name, label, hint, attributes]) => field(label, number(name, attributes), hint)),
      users.length > 0 && field("Owner of the files", owner(), "one of writer.users of the configuration"),
      field("Level of Zstandard", number("compression_level", { min: 1, max: 19, step: 1 }), "1 to 19; none: 1"),
      !isOfImages && field("Layout of the merged file", pick("layout", [["", "1.0"], ["2.0", "2.0"]]))),
    field("Own values", json("user_metadata", 2), 'stored in the file unchanged; JSON, such as {"shift": "night", "n": 3}')),
    complaint, h("div", { class: "row ends" }, start));
  const element = h("section", { class: "card" }, h("h2", {}, "New run"), form);
  let timer = null;
  let asking = null;
  const self = { element, suggest, focus: () => file.focus(), close, started: null };

  function section(title, ...content) {
    return h("details", {}, h("summary", {}, title), ...content);
  }

  /** Return the request in the form; throws an error in words. */
  function request() {
    const made = {};
    const experiment = {};
    for (const [name, { input, read }] of inputs) {
      const label = input.closest("label")?.querySelector("span")?.textContent ?? name;
      if (input.validity?.badInput) throw new Error(`${label}: this is no number.`);
      const value = input.value.trim();
      if (!value) continue;
      let known;
      try {
        known = read(value);
      } catch {
        throw new Error(`${label}: this is no JSON.`);
      }
      if (name === "experiment") Object.assign(experiment, known);
      else if (name.startsWith("experiment.")) experiment[name.slice("experiment.".length)] = known;
      else made[name] = known;
    }
    if (Object.keys(experiment).length) made.experiment = experiment;
    return made;
  }

  function changed() {
    complaint.hidden = true;
    clearTimeout(timer);
    timer = setTimeout(ask, PREVIEW_MS);
  }

  async function ask() {
    asking?.abort();
    asking = new AbortController();
    const mine = asking;
    let told;
    try {
      const body = request();
      if (!body.output_file) return tell("", "There is no name of a file yet.");
      told = await context.api("runs/preview", { body, signal: mine.signal, isReading: true });
    } catch (error) {
      if (mine.signal.aborted) return;
      if (error.status === 401) tell("", "The file is shown here once this page has the token.");
      else tell("bad", error.message);
      return;
    }
    if (mine.signal.aborted) return;
    if (!told.is_checked) tell("warn", told.refusal);
    else if (told.refusal) tell("bad", told.refusal);
    else tell("ok", `→ ${told.output_file}${told.n_before ? `, after ${told.n_before} other${told.n_before > 1 ? "s" : ""}` : ""}`);
  }

  function tell(level, words) {
    preview.dataset.level = level;
    say(preview, words);
  }

  async function submit(event) {
    event.preventDefault();
    complaint.hidden = true;
    start.disabled = true;
    try {
      const body = request();
      if (!body.output_file) throw new Error("File: give it a name.");
      const run = await context.api("runs", { body });
      self.started = run.request_id;
      onstart(run);
      changed();
    } catch (error) {
      complaint.hidden = false;
      say(complaint, `${error instanceof Refused ? `${error.title}: ` : ""}${error.message}`);
    } finally {
      start.disabled = false;
    }
  }

  /** Suggest a name beside the newest file, if none is there. */
  function suggest(newest) {
    if (file.value || !newest) return;
    const slash = newest.lastIndexOf("/");
    const name = newest.slice(slash + 1).replace(/\d+(?=\D*$)/, (digits) => (digits.length > 1 && digits.length < 10 ? `{number:0${digits.length}}` : "{number}"));
    file.value = newest.slice(0, slash + 1) + (name.includes("{number") ? name : name.replace(/(\.[^.]*)?$/, "_{number:04}$1"));
    changed();
  }

  function close() {
    clearTimeout(timer);
    asking?.abort();
  }

  return self;
}
