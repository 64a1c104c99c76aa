"""A detector as RAT exports it: GDML, and tables that tell of its PMTs."""

from pathlib import Path

from std_test_kit.gdml import bordered, gdml_text, placed, volume, write_gdml

RAT_TABLES = """
// A comment { with a brace
{
name: "GEO", index: "pmts", run_range: [0, 0], /* another
one */ type: "pmtarray", "pmt_model": "r5912", pos_table: "PMTINFO",
}
{ name: "PMTINFO", run_range: [0, 0], x: [0.0, 100.0, 200.0, 3e2], y: [0, 0, 0, 0,], z: [-1.5d, -1.5, .5, 0],
  type: [1, 1, 2, 2], efficiency_corr: [1, 0.5, 1, 1], valid: true, note: "a // b" }
{ name: "PMT", index: "r5912", run_range: [0, 0], efficiency_correction: 0.9, }
"""
_SOLIDS = """<box name="w" x="2000" y="900" z="900"/><box name="envelope" x="30" y="30" z="30"/>
<box name="body" x="20" y="20" z="20"/><box name="inner" x="10" y="10" z="10"/>
<opticalsurface name="film" type="0"><property name="RINDEX" ref="n"/><property name="KINDEX" ref="one"/>
<property name="THICKNESS" ref="d"/><property name="EFFICIENCY" ref="fifth"/></opticalsurface>"""
_DEFINE = '<matrix name="n" coldim="1" values="2"/><matrix name="d" coldim="2" values="0 2e-5 188 2e-5"/>'


def rat_detector(ids: list[int], *, arrays: tuple[str, ...] = ("pmts",), is_old: bool = False, shift: float = 0) -> str:
    """Return a world with a PMT at x = 100 id of each id; `is_old`: bodies without envelopes, as RAT once wrote."""
    pmt = "body" if is_old else "env"
    pmts = "".join(
        placed(f"{array}_pmtenv_{i}0x55d0{i}", pmt, at=f'x="{100 * i + shift}" z="-1.5"', copy_number=i)
        for array in arrays
        for i in ids
    )
    structure = (
        volume("inner", "air", "inner") + volume("body", "glass", "body", placed("pmts_inner1_phys", "inner"))
        + volume("env", "water", "envelope", placed("pmts_body_phys", "body"))
        + volume("world", "water", "w", pmts) + bordered("cathode", "film", "pmts_inner1_phys", "pmts_body_phys")
    )  # fmt: skip
    return gdml_text(solids=_SOLIDS, structure=structure, define=_DEFINE)


def write_rat_export(folder: Path) -> None:
    """Write ``detector.gdml`` with four PMTs, and their tables as ``detector.json``."""
    write_gdml(folder, rat_detector([0, 1, 2, 3]))
    (folder / "detector.json").write_text(RAT_TABLES)
