"""The program `nhipcau`, also `python -m fhir_server`: loads the command, and runs it.

What is loaded stays: the collector would look through it again and again while it comes, a sixth of the whole start.
"""

import gc

gc.disable()

from fhir_server.cli import main  # noqa: E402 -- the collector has to wait before all this comes

gc.freeze()
gc.enable()

if __name__ == "__main__":
    main()
