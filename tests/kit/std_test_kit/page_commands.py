"""The command blocks of the pages: which there are, and a run of a page's blocks in their order, in a fresh folder.

What a page says of a block is in a comment before it, which readers do not see::

    <!-- not run: it needs a network card -->
    <!-- ends with: 3 -->
    <!-- file: detector.json -->

The last one makes a block of another language a file of the folder. ``<!-- commands not run: ... -->`` anywhere on a
page holds for all its blocks but those with ``<!-- run -->`` or ``<!-- ends with: N -->``. A line that has
``# in another terminal`` runs beside the others, until the end.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
_BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^ *```", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"<!-- (not run|ends with|file|run)(?:: ([^>]*?))? -->\s*\Z", re.DOTALL)
_PAGE_MARK = re.compile(r"<!-- commands not run: ([^>]*?) -->", re.DOTALL)
_SERVER = re.compile(r"^(?P<command>[^#\n]*?)\s*# in another terminal.*$", re.MULTILINE)
_PROMPT = re.compile(r"^\$ (.*)$", re.MULTILINE)
_COMMANDS = frozenset({"bash", "console"})
# A plain `wait` of bash is 0 whatever the jobs end with.
_PRELUDE = """\
servers=" "
wait() {
    [ $# = 0 ] || { builtin wait "$@"; return; }
    local job code=0
    for job in $(jobs -p); do
        case "$servers" in *" $job "*) continue ;; esac
        builtin wait "$job" || code=$?
    done
    return $code
}
end_servers() {
    kill $servers
    for server in $servers; do builtin wait "$server" || true; done
    servers=" "
    : > server.log
}
"""


@dataclass(frozen=True, slots=True)
class PageBlock:
    """A block of commands, or a file of the page.

    Attributes
    ----------
    line
        Line of the page on which it begins.
    text
        The commands, without prompts and what they print; or the content of the file.
    reason
        Why it is not run; empty if it is.
    exit_code
        With what the last command ends, where others may fail; None: each command ends with 0.
    file
        Name of the file that it is; empty for commands.
    """

    line: int
    text: str
    reason: str = ""
    exit_code: int | None = None
    file: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a page takes for granted.

    Its commands may use ``$CLONE``, the repository, and ``end_servers``, which ends all that runs beside them.
    ``FOLDER`` is where the page is run.

    Attributes
    ----------
    before
        Bash commands that prepare the folder.
    replacements
        What stands on the page, and what is run for it.
    """

    before: str = ""
    replacements: Mapping[str, str] | None = None


def pages() -> list[Path]:
    """Return the README and all pages that tell users what to do."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    for folder in ("docs", "services", "docker", "examples"):
        found += sorted((ROOT / folder).rglob("*.md"))
    return [page for page in found if blocks_of(page)]


def blocks_of(page: Path) -> list[PageBlock]:
    """Return the blocks of commands of a page, and the files among its other blocks; raises ValueError."""
    text = page.read_text()
    of_page = _PAGE_MARK.search(text)
    blocks = [_block(text, match, of_page[1] if of_page else "") for match in _BLOCK.finditer(text)]
    return [block for block in blocks if block is not None]


def _block(text: str, match: re.Match[str], reason: str) -> PageBlock | None:
    mark = _MARK.search(text, 0, match.start())
    kind, value = (mark[1], " ".join((mark[2] or "").split())) if mark else ("", "")
    line = text.count("\n", 0, match.start()) + 1
    content = re.sub(rf"^{match['indent']}", "", match["text"], flags=re.MULTILINE)
    if kind == "file":
        return PageBlock(line, content, reason, file=value)
    if match["language"] not in _COMMANDS:
        return None
    if match["language"] == "console":
        content = "\n".join(_PROMPT.findall(content)) + "\n"
    reason = {"not run": value, "run": "", "ends with": ""}.get(kind, reason)
    return PageBlock(line, content, reason, exit_code=int(value) if kind == "ends with" else None)


def script_of(blocks: list[PageBlock], scene: Scene) -> str:
    """Return a bash script that runs the blocks, and stops at the first command that fails."""
    return "".join([_PRELUDE, "set -e\n", scene.before, "\n", *_parts(blocks, scene)])


def _parts(blocks: list[PageBlock], scene: Scene) -> Iterator[str]:
    for block in blocks:
        if block.reason:
            continue
        text = block.text
        for page_says, is_run in (scene.replacements or {}).items():
            text = text.replace(page_says, is_run)
        if block.file:
            yield f"cat > {block.file} <<'END OF FILE'\n{text}END OF FILE\n"
            continue
        text = _SERVER.sub(r'\g<command> > server.log 2>\&1 & servers="$servers$! "', text)
        yield f"echo '== line {block.line}'\n"
        if block.exit_code is not None:
            check = f"[ $code = {block.exit_code} ] || {{ echo ended with $code; exit 99; }}"
            yield f"set +e\n{text}code=$?\nset -e\n{check}\n"
        else:
            yield text


def run_page(blocks: list[PageBlock], scene: Scene, folder: Path, timeout_s: float) -> None:
    """Run the blocks of a page; raises AssertionError with what was printed if a command fails.

    They run in namespaces of their own: with networks, shared memory and processes that end with them.
    """
    script = folder.with_suffix(".sh")
    script.write_text(script_of(blocks, scene).replace("FOLDER", str(folder)))
    enter = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        enter[1:1] = ["--user", "--map-root-user"]
    inside = (
        "ip link set lo up && ip route add 224.0.0.0/4 dev lo && mount -t tmpfs tmpfs /dev/shm && "
        f"cd {shlex.quote(str(folder))} && exec timeout {timeout_s:g} bash {shlex.quote(str(script))}"
    )
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("STD_DAQ_", "PYTEST_", "XDG_"))
    }
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    environment["STD_DAQ_RUNTIME_DIR"] = "/dev/shm/run"
    environment["CLONE"] = str(ROOT)
    result = subprocess.run(
        [*enter, "bash", "-c", inside],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s + 30,
    )
    log = folder / "server.log"
    served = log.read_text()[-4000:] if log.exists() else ""
    assert result.returncode == 0, f"{result.stdout[-4000:]}\n{result.stderr[-4000:]}\n-- beside it:\n{served}"


def main() -> None:
    """Print how many blocks of commands the pages have, how many a test runs, and why the others are not run."""
    reasons: dict[str, int] = {}
    n_run = 0
    for page in pages():
        for block in blocks_of(page):
            if block.reason:
                reasons[block.reason] = reasons.get(block.reason, 0) + 1
            elif not block.file:
                n_run += 1
    lines = [f"{n_run} blocks are run, {sum(reasons.values())} are not:"]
    for reason, n in sorted(reasons.items(), key=lambda item: -item[1]):
        lines.append(f"{n:4d}  {reason}")
    sys.stdout.write("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
