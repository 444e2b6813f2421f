"""agentx: tune small open LLMs into agents and measure whether it worked (arXiv 2403.19962)."""

__version__ = "0.1.0"
