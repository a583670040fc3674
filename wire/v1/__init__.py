"""Generated from proto/vergence/v1 by `make proto`. Do not edit."""
