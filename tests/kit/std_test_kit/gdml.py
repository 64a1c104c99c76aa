"""GDML files for tests, written from their parts."""

from pathlib import Path

OPTICS = """
<matrix name="water_n" coldim="2" values="2*eV 1.333 3*eV 1.34 4*eV 1.36"/>
<matrix name="glass_n" coldim="2" values="2*eV 1.47 4*eV 1.50"/>
<matrix name="one" coldim="2" values="2*eV 1 4*eV 1"/>
<matrix name="half" coldim="2" values="2*eV 0.5 4*eV 0.5"/>
<matrix name="fifth" coldim="2" values="2*eV 0.2 4*eV 0.2"/>
<matrix name="nothing" coldim="2" values="2*eV 0 4*eV 0"/>
"""
# Geant4 also wants to know what things are made of.
_ATOMS = '<D value="1"/><atom value="16"/>'
MATERIALS = f"""
<material name="water" Z="8"><property name="RINDEX" ref="water_n"/>{_ATOMS}</material>
<material name="glass" Z="8"><property name="RINDEX" ref="glass_n"/>{_ATOMS}</material>
<material name="air" Z="8"><property name="RINDEX" ref="one"/>{_ATOMS}</material>
<material name="steel" Z="8">{_ATOMS}</material>
"""
SURFACES = """
<opticalsurface name="cathode" model="unified" finish="polished" type="dielectric_metal" value="1">
 <property name="REFLECTIVITY" ref="nothing"/><property name="EFFICIENCY" ref="fifth"/></opticalsurface>
<opticalsurface name="mirror" model="unified" finish="polished" type="dielectric_metal" value="1">
 <property name="REFLECTIVITY" ref="half"/></opticalsurface>
"""


def gdml_text(*, solids: str, structure: str, define: str = "", materials: str = "", world: str = "world") -> str:
    """Return a file with water, glass, air and steel, the surfaces 'cathode' and 'mirror', and what is given."""
    return f"""<?xml version="1.0"?>
<gdml><define>{OPTICS}{define}</define><materials>{MATERIALS}{materials}</materials>
<solids>{SURFACES}{solids}</solids><structure>{structure}</structure>
<setup name="Default" version="1.0"><world ref="{world}"/></setup></gdml>"""


def volume(name: str, material: str, solid: str, content: str = "") -> str:
    """Return a volume."""
    head = f'<materialref ref="{material}"/><solidref ref="{solid}"/>'
    return f'<volume name="{name}">{head}{content}</volume>'


def placed(name: str, of: str, *, at: str = "", turned: str = "", copy_number: int | str = 0) -> str:
    """Return a placement; `at` and `turned` are attributes such as ``z="3" unit="cm"``."""
    position = f'<position name="{name}_at" {at}/>' if at else ""
    rotation = f'<rotation name="{name}_turned" {turned}/>' if turned else ""
    number = f' copynumber="{copy_number}"' if copy_number else ""
    return f'<physvol name="{name}"{number}><volumeref ref="{of}"/>{position}{rotation}</physvol>'


def bordered(name: str, surface: str, before: str, behind: str) -> str:
    """Return a surface on the way from one placement to another."""
    references = f'<physvolref ref="{before}"/><physvolref ref="{behind}"/>'
    return f'<bordersurface name="{name}" surfaceproperty="{surface}">{references}</bordersurface>'


def write_gdml(folder: Path, text: str, name: str = "detector.gdml") -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.write_text(text)
    return path


def tank(n_pmts: int = 4) -> str:
    """Return a tank of water with PMTs on a ring, a vessel, a block on the floor and two cylinders upon each other.

    The PMTs are glass bulbs with two cavities that touch; their copy numbers run backwards.
    """
    solids = """
<polycone name="bulb" deltaphi="360" aunit="deg" lunit="mm"><zplane rmax="0" z="80"/><zplane rmax="60" z="60"/>
 <zplane rmax="100" z="0"/><zplane rmax="40" z="-80"/><zplane rmax="40" z="-150"/></polycone>
<polycone name="front" deltaphi="360" aunit="deg" lunit="mm"><zplane rmax="97" z="0"/>
 <zplane rmax="58" z="58"/><zplane rmax="0" z="77"/></polycone>
<polycone name="back" deltaphi="360" aunit="deg" lunit="mm"><zplane rmax="37" z="-147"/>
 <zplane rmax="37" z="-81"/><zplane rmax="97" z="0"/></polycone>
<orb name="vessel" r="300" lunit="mm"/><orb name="filling" r="290" lunit="mm"/>
<box name="block" x="200" y="300" z="100" lunit="mm"/>
<tube name="lower" rmax="80" z="100" deltaphi="360" aunit="deg" lunit="mm"/>
<tube name="upper" rmax="6" z="10" deltaphi="360" aunit="deg" lunit="cm"/>
<tube name="inside" rmax="990" z="1980" deltaphi="360" aunit="deg" lunit="mm"/>
<tube name="wall" rmax="1000" z="2000" deltaphi="360" aunit="deg" lunit="mm"/>
<box name="hall" x="3" y="3" z="3" lunit="m"/>"""
    ring = "".join(
        placed(
            f"pmt{i}", "bulb", copy_number=n_pmts - 1 - i,
            at=f'x="800*cos({i}*2*pi/{n_pmts})" y="800*sin({i}*2*pi/{n_pmts})" z="100" unit="mm"',
            turned=f'x="-90" y="90-{i}*360/{n_pmts}" z="-90" unit="deg"',
        )
        for i in range(n_pmts)
    )  # fmt: skip
    others = (
        placed("vessel", "vessel", at='z="400"')
        + placed("block", "block", at='x="300" z="-940"')
        + placed("lower", "lower", at='x="-300" z="-940"')
        + placed("upper", "upper", at='x="-30" z="-84" unit="cm"')
    )
    sensitive = '<auxiliary auxtype="SensDet" auxvalue="PMT"/>'
    structure = (
        volume("front", "air", "front")
        + volume("back", "air", "back")
        + volume("bulb", "glass", "bulb", placed("front", "front") + placed("back", "back") + sensitive)
        + volume("filling", "air", "filling")
        + volume("vessel", "glass", "vessel", placed("filling", "filling"))
        + volume("block", "glass", "block")
        + volume("lower", "glass", "lower")
        + volume("upper", "air", "upper")
        + volume("inside", "water", "inside", ring + others)
        + volume("wall", "steel", "wall", placed("inside", "inside"))
        + volume("hall", "air", "hall", placed("wall", "wall"))
        + "".join(
            bordered(f"film{i}", "cathode", "front", f"pmt{i}") + bordered(f"mirror{i}", "mirror", "back", f"pmt{i}")
            for i in range(n_pmts)
        )
    )
    return gdml_text(solids=solids, structure=structure, world="hall")
