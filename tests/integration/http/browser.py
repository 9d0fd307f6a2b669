"""Opens a page of `/docs` in Chromium (Qt WebEngine) and prints, as JSON, what a reader of its console would know.

`python browser.py URL`: once the operations stand on the page, it tries to run an inline script, which the page's
policy forbids: so it is known that what is forbidden would be heard of.
"""

import json
import os
import sys

from PyQt6.QtCore import QTimer, QUrl
from PyQt6.QtWebEngineCore import QWebEnginePage
from PyQt6.QtWidgets import QApplication

LOOK_MS = 200
COUNT = "document.querySelectorAll('.opblock').length"
FORBIDDEN = "s = document.createElement('script'); s.text = 'window.ran = 1'; document.head.append(s); window.ran || 0"


class Page(QWebEnginePage):
    """Keeps its console."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def javaScriptConsoleMessage(self, _level: object, message: str, _line: int, _source: str) -> None:  # noqa: N802
        self.said.append(message)


class Look:
    """Waits for the operations, then for what the console says of the inline script."""

    def __init__(self, app: QApplication, page: Page) -> None:
        self.app, self.page, self.result = app, page, dict[str, object]()

    def again(self) -> None:
        self.page.runJavaScript(COUNT if not self.result else "0", self.looked)

    def looked(self, count: float) -> None:
        if not self.result and count:
            self.result = {"operations": int(count), "said": self.page.said[:]}
            self.page.runJavaScript(FORBIDDEN, self.tried)
        elif "ran" in self.result and len(self.page.said) > len(self.result["said"]):  # type: ignore[arg-type]
            self.result["forbidden"] = self.page.said[len(self.result["said"]) :]  # type: ignore[arg-type]
            self.app.quit()

    def tried(self, ran: float) -> None:
        self.result["ran"] = int(ran)


def main() -> None:
    app = QApplication(["browser", "--no-sandbox", "--disable-gpu"])
    page = Page()
    look = Look(app, page)
    timer = QTimer()
    timer.timeout.connect(look.again)
    timer.start(LOOK_MS)
    page.load(QUrl(sys.argv[1]))
    app.exec()
    sys.stdout.write(json.dumps(look.result))
    sys.stdout.flush()
    os._exit(0)  # Qt would call back what it still waits for while Python takes everything apart


main()
