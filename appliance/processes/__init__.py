"""The processes of the appliance: who starts, watches and stops which, and how they tell."""
