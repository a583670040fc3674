"""What every service is made of: configuration, command line, gRPC, health, metrics, errors."""
