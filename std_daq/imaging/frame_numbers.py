"""Words for modules whose frame numbers do not go with those of the others."""


def frames_ahead_text(module: int | str, n_frames: int) -> str:
    """Return a sentence such as "module 1 counts 2500 frames ahead of the others"."""
    frames = "1 frame" if abs(n_frames) == 1 else f"{abs(n_frames)} frames"
    return f"module {module} counts {frames} {'behind' if n_frames < 0 else 'ahead of'} the others"
