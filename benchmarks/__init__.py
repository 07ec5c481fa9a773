"""Measurements against peers, one folder a toolkit and one file a question; see README.md."""

import os

# Before numpy or torch is imported, and inherited by the processes of peers.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[_variable] = "1"
