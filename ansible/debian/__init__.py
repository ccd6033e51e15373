"""The Debian package of the appliance, made of the roles' templates and Ansible's bundle."""
