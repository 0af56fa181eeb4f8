"""How long tests wait for what takes seconds where nothing else runs.

A limit is there so that a test ends that would hang, and not to measure anything: the machine may be busy
with ten other things.
"""

PATIENCE = 600.0
