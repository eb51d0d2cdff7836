"""The explanation in plain sentences, with this number's real values."""

from __future__ import annotations

from html import escape

from PyQt6.QtWidgets import QTextBrowser

from gui import theme
from gui.models.snapshot import Words
from gui.views.panel import Panel


class ExplanationPanel(Panel):
    """Text that a screen reader can read too: the facts of the selected element."""

    def __init__(self) -> None:
        super().__init__("explanation", "Explanation", (240, 150), (150, 70))
        self.view = QTextBrowser()
        self.view.setOpenExternalLinks(False)
        self.view.setAccessibleName("Explanation of the selected element")
        self.view.document().setDocumentMargin(10)  # type: ignore[union-attr]
        self.put(self.view)
        self._words: Words | None = None
        self.show_words(None)
        theme.theme_changed.connect(self._again)

    def _again(self) -> None:
        words, self._words = self._words, None
        self.show_words(words)

    def show_words(self, words: Words | None) -> None:
        """Show sentences; None says how to get some."""
        if words is not None and words == self._words:
            return
        self._words = words
        muted, cursor = theme.current().muted, theme.current().cursor
        if words is None:
            self.head.set_detail("")
            self.view.setHtml(
                f'<p style="color:{muted}">Pick an element of a map, or step into a layer: '
                "this place says in words how its number came about.</p>"
            )
            return
        self.head.set_detail(words.heading)
        bad = theme.current().bad
        alert = f'<p style="color:{bad}"><b>{escape(words.alert)}</b></p>'
        parts = [f"<p>{self._strong(sentence, words.value)}</p>" for sentence in words.sentences]
        if words.next_step:
            parts.insert(1, f'<p style="color:{cursor}">{escape(words.next_step)}</p>')
        if words.alert:
            parts.insert(0, alert)
        parts += [f'<p style="color:{muted}">{escape(note)}</p>' for note in words.notes]
        self.view.setHtml("".join(parts))

    def _strong(self, sentence: str, value: str) -> str:
        """Set the number that is explained in bold; another spelling of it is left as it is."""
        text, mark = escape(sentence), escape(value)
        if not value or f" is {mark}" not in text:
            return text
        return text.replace(f" is {mark}", f" is <b>{mark}</b>", 1)
