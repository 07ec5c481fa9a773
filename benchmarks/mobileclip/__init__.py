"""Questions of mobileclip."""
