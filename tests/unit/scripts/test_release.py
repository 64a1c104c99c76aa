"""scripts/release, in a repository of its own that has the files of this one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]
CHANGES = "- What users can see."
# Succeeds where the manifests name the images that the tagged clone makes, and the packages are those of the version.
CHECKS = (
    'tag=$(docker/image-tag); test "$tag" = 1.2.3; grep -q "^VERSION=$tag$" docker/beamlines/two_servers/example.env;'
    'grep -q "newTag: $tag$" docker/kubernetes/overlays/simulated/kustomization.yaml;'
    'test -e "$PACKAGES/std_daq-1.2.3-py3-none-any.whl"'
)


def git(repository: Path, *arguments: str) -> str:
    command = ["git", "-C", str(repository), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one commit on main and one release, 1.2.2."""
    folder = tmp_path_factory.mktemp("template")
    repository = folder / "repository"
    for name in git(PROJECT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (PROJECT / name).is_file():
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, repository / name)
    (repository / "CHANGELOG.md").write_text(
        f"# Changelog\n\n## Unreleased\n\n{CHANGES}\n\n## 1.2.2 (2026-01-31)\n\n- x\n"
    )
    git(folder, "init", "--quiet", "--initial-branch", "main", str(repository))
    git(repository, "config", "user.name", "A Tester")
    git(repository, "config", "user.email", "tester@example.org")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "all")
    git(repository, "tag", "v1.2.2")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "a change")
    git(repository, "gc", "--quiet")
    return repository


@pytest.fixture
def repository(template: Path, tmp_path: Path) -> Path:
    """A copy of the template, for one test."""
    return shutil.copytree(template, tmp_path / "repository")


def release(repository: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(repository / "scripts" / "release"), *arguments],
        env=os.environ | {"PYTHON_COMMAND": sys.executable},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def state(repository: Path) -> tuple[str, str, bool]:
    return git(repository, "rev-parse", "HEAD"), git(repository, "tag"), (repository / "dist").exists()


@pytest.mark.long
def test_release_is_tagged_built_and_checked_before_anything_changes_here(repository: Path) -> None:
    done = release(repository, "1.2.3", "--checks", f"set -e; {CHECKS}")
    assert done.returncode == 0, done.stderr
    assert git(repository, "status", "--porcelain") == ""
    assert git(repository, "show", "--no-patch", "--format=%s", "v1.2.3^{commit}") == "release: 1.2.3"
    assert CHANGES in git(repository, "tag", "--list", "--format=%(contents)", "v1.2.3")
    at_the_tag = git(repository, "show", "v1.2.3:CHANGELOG.md")
    assert "## 1.2.3 (" in at_the_tag
    assert "## Unreleased" not in at_the_tag
    names = {file.name for file in (repository / "dist").iterdir()}
    assert names == {"std_daq-1.2.3-py3-none-any.whl", "std_daq-1.2.3.tar.gz", "constraints.txt"}
    assert "git push --atomic origin main v1.2.3" in done.stdout

    # Afterwards, the manifests name the images of the checkout again.
    assert git(repository, "rev-parse", "HEAD~1") == git(repository, "rev-parse", "v1.2.3^{commit}")
    assert "VERSION=dev\n" in (repository / "docker/beamlines/eiger_9m/example.env").read_text()
    changelog = (repository / "CHANGELOG.md").read_text()
    assert changelog.index("## Unreleased\n\n## 1.2.3 (") < changelog.index(CHANGES)


@pytest.mark.long
def test_dry_run_does_all_and_changes_nothing(repository: Path) -> None:
    before = state(repository)
    done = release(repository, "1.2.3", "--dry-run", "--checks", f"set -e; {CHECKS}")
    assert done.returncode == 0, done.stderr
    assert "std_daq-1.2.3.tar.gz" in done.stdout
    assert state(repository) == before


@pytest.mark.long
def test_release_whose_checks_fail_leaves_nothing(repository: Path) -> None:
    before = state(repository)
    done = release(repository, "1.2.3", "--checks", "exit 3")
    assert done.returncode == 1
    assert "exit 3 ended with 3; nothing was released" in done.stderr
    assert state(repository) == before


def make_dirty(repository: Path) -> None:
    (repository / "LICENSE").write_text("mine")


def go_to_a_branch(repository: Path) -> None:
    git(repository, "switch", "--quiet", "--create", "work")


def forget_the_changes(repository: Path) -> None:
    (repository / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n## 1.2.2 (2026-01-31)\n\n- x\n")
    git(repository, "commit", "--quiet", "--all", "--message", "no changes")


@pytest.mark.parametrize(
    ("version", "before", "reason"),
    [
        ("1.2.2", None, "1.2.2 does not come after 1.2.2"),
        ("1.2.1", None, "1.2.1 does not come after 1.2.2"),
        ("1.3", None, "1.3 is no version as 0.2.0"),
        ("1.2.3", make_dirty, "changes that are not committed"),
        ("1.2.3", go_to_a_branch, "made on main"),
        ("1.2.3", forget_the_changes, "no changes below '## Unreleased'"),
    ],
)
def test_what_cannot_be_a_release_is_refused(repository: Path, version: str, before: object, reason: str) -> None:
    if callable(before):
        before(repository)
    done = release(repository, version, "--checks", "false")
    assert done.returncode == 1
    assert reason in done.stderr
    assert git(repository, "tag") == "v1.2.2"
