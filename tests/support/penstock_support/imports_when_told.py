"""A module whose import ends when the file that IMPORT_WHEN_THERE names is there."""

import os
import time

while not os.path.exists(os.environ["IMPORT_WHEN_THERE"]):
    time.sleep(0.01)
