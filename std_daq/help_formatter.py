"""HelpFormatter: the help of each option names its default."""

import argparse


class HelpFormatter(argparse.HelpFormatter):
    """Adds its default to the help of an option, where the help itself does not speak of one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        if not text or not action.option_strings or action.required or action.nargs == 0 or "default" in text:
            return text
        if action.default is None or action.default == [] or action.default is argparse.SUPPRESS:
            return f"{text}; not set by default"
        return f"{text}; by default %(default)s"
