"""``python -m ckptscope``."""

from ckptscope.cli import main

main()
