"""What the functions of autocredits share: the journal and its decisions, the commit loop, the adapters, the edge."""

__version__ = "0.7.0"
