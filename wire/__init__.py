"""What the services share: conventions, the contract's Python side, and the kit around gRPC."""
