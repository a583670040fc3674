"""What the services share: conventions, the contract's Python side, and the kit around gRPC."""

import os

# Else gRPC writes a line to standard error for every TLS handshake that fails, past our bounded log: whoever knocks
# could fill a disk, or stop a service whose log nobody reads. It counts when grpc is imported, which is later.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
