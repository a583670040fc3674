"""What puts the services to work: configuration, the local runner, benchmarks."""
