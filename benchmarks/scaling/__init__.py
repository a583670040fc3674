"""What a rig costs in each tier, a model of many rigs, and a simulation that checks the model."""
