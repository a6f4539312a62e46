"""What each action costs, cell for cell as docs/domain.md has it, "What an action costs"."""

CELLS = (
    ("fba", "none", "1.00", {"order": 100}),
    ("fba", "bce", "1.33", {"order": 100, "tracking": 33}),
    ("fba", "qtrack", "2.50", {"order": 100, "tracking": 150}),
    ("fba", "tracking_generator", "2.00", {"order": 100, "tracking": 100}),
    ("auto", "none", "1.00", {"order": 100}),
    ("auto", "bce", "1.33", {"order": 100, "tracking": 33}),
    ("auto", "qtrack", "2.50", {"order": 100, "tracking": 150}),
    ("auto", "tracking_generator", "2.00", {"order": 100, "tracking": 100}),
    ("manual", "bce", "0.33", {"tracking": 33}),
    ("manual", "qtrack", "0.50", {"tracking": 50}),
    ("manual", "tracking_generator", "1.00", {"tracking": 100}),
)
"""Order type, tracking method, the whole cell, and its parts in hundredths."""
