"""Notebooks as pages of the site."""

import json

from notebook_pages import formulas, notebook_page


def test_formulas_become_mathml_and_code_stays():
    text = formulas("Let $x_1$ be `$x$`.\n\n$$\\frac{1}{2}$$\n\n```\n$HOME and $PWD\n```\n")
    assert "Let <span><math" in text
    assert "<msub>" in text
    assert "<mfrac>" in text
    assert "`$x$`" in text
    assert "$HOME and $PWD" in text
    assert text.count('display="block"') == 1


def test_cells_and_outputs_follow_each_other(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["# 1. Title\n", "\n", "Text"]},
        {
            "cell_type": "code",
            "source": ["draw()"],
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": ["drawn\n"]},
                {"output_type": "display_data", "data": {"image/png": "aGk=", "text/plain": "<Figure>"}},
            ],
        },
    ]
    (tmp_path / "01_a.ipynb").write_text(json.dumps({"cells": cells}))
    text, pictures = notebook_page(tmp_path / "01_a.ipynb")
    parts = [
        "# 1. Title\n\nText",
        "~~~~~python\ndraw()\n~~~~~",
        "~~~~~text\ndrawn\n~~~~~",
        "![Output of the code above]",
    ]
    assert sorted(parts, key=text.index) == parts
    assert pictures == {"01_a_1.png": b"hi"}
