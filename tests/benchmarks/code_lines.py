"""Lines of code: no blank lines, no comments, no docstrings."""

import ast
import io
import tokenize
from pathlib import Path

_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def count(root: Path, place: str) -> int:
    """The lines of code of ``path`` or of ``path:Class.method``."""
    path, _, name = place.partition(":")
    source = (root / path).read_text()
    node: ast.AST = ast.parse(source)
    for part in filter(None, name.split(".")):
        node = next(child for child in ast.iter_child_nodes(node) if getattr(child, "name", None) == part)
    lines = _code(source) - _docstrings(node)
    return len(lines) if isinstance(node, ast.Module) else len(lines & _lines(node))


def _code(source: str) -> set[int]:
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return lines


def _docstrings(tree: ast.AST) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and ast.get_docstring(node):
                lines |= _lines(first)
    return lines


def _lines(node: ast.AST) -> set[int]:
    assert isinstance(node, ast.stmt)
    return set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
