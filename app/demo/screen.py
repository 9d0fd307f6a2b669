"""What the demo looks like: chapters, requests, lines, tables. The same on a terminal and in a log, but for colours."""

import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

LOG_WIDTH = 132
"""Columns when the output is no terminal."""

_INDENT = (0, 0, 0, 4)


class Screen:
    """Writes to standard output."""

    def __init__(self) -> None:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace", line_buffering=True)  # a log in ASCII must not end the demo
        self.console = Console(highlight=False, width=None if sys.stdout.isatty() else LOG_WIDTH)
        self._chapters = 0

    @property
    def is_live(self) -> bool:
        """Tell whether lines can be drawn again, as on a terminal."""
        return self.console.is_terminal and not self.console.is_dumb_terminal

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        self._chapters += 1
        self.console.print()
        self.console.rule(Text(f" {self._chapters}  {title} ", style="bold"), align="left", style="dim", characters="─")
        self.console.print()

    def say(self, text: str) -> None:
        """Print a sentence."""
        self.show(Text(text))

    def fact(self, text: str) -> None:
        """Print a fact that holds."""
        self.console.print(Text.assemble("  ", ("✓ ", "green"), text))

    def warning(self, text: str) -> None:
        """Print what a user should know."""
        self.console.print(Text.assemble(("  ! ", "yellow"), text))

    def request(self, method: str, path: str, note: str = "") -> None:
        """Print the line of a request."""
        after = f"   {note}" if note else ""
        self.console.print(Text.assemble("  ", ("→ ", "dim"), (f"{method} {path}", "bold cyan"), (after, "dim")))

    def answer(self, text: str) -> None:
        """Print the line of an answer."""
        self.console.print(Text.assemble("  ", ("← ", "dim"), text))

    def event(self, at: float, resource: str, message: Text) -> None:
        """Print something that happened `at` seconds after the request."""
        line = Text.assemble((f"    {at:6.1f} s  ", "dim"), f"{resource:<18}", message)
        self.console.print(line, overflow="ellipsis", no_wrap=True)

    def pairs(self, rows: Iterable[tuple[str, object]]) -> None:
        """Print names and values."""
        self.show(_grid(rows))

    def document(self, text: str, language: str) -> None:
        """Print a document, with its colours on a terminal."""
        if self.console.is_terminal:
            self.show(Syntax(text.rstrip(), language, theme="ansi_dark", background_color="default"))
        else:
            self.commands([f"    {line}".rstrip() for line in text.rstrip().splitlines()])

    def commands(self, lines: Sequence[str]) -> None:
        """Print lines that can be pasted: nothing before, between or after them, however narrow the terminal."""
        for line in lines:
            self.console.print(Text(line), soft_wrap=True)

    def box(self, title: str, rows: Iterable[tuple[str, object]], *, style: str) -> None:
        """Print names and values in a frame."""
        table = _grid(rows)
        self.show(Panel(table, title=Text(title, style=f"bold {style}"), title_align="left", border_style=style))

    def show(self, what: RenderableType) -> None:
        """Print anything, indented."""
        padded = Padding(what, _INDENT, expand=False)
        if self.console.is_terminal:
            self.console.print(padded)
            return
        with self.console.capture() as captured:
            self.console.print(padded)
        self.commands([line.rstrip() for line in captured.get().splitlines()])  # rich fills tables up with spaces

    def drawing(self, source: Any) -> AbstractContextManager[Any]:
        """Return a context in which `source()` is drawn below the lines, again and again, if this is a terminal."""
        if not self.is_live:
            return nullcontext()
        return Live(
            get_renderable=lambda: Group(Text(), Padding(source(), _INDENT)),
            console=self.console,
            refresh_per_second=8,
            transient=True,
        )


def _grid(rows: Iterable[tuple[str, object]]) -> Table:
    table = Table.grid(padding=(0, 3))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(str(value)))
    return table
