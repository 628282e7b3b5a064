"""What an installation may be told: principals and their rights, quotas, retention, security events."""
