"""placeholder"""

ROWS = []
