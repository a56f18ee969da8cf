"""hames: the harness around a language model that turns it into an agent you can leave alone."""

__version__ = "0.1.0"
