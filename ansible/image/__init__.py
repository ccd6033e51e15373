"""The container image of the appliance: packages of Debian and the bundle's wheels, as layers."""
