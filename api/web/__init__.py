"""What every route uses: who calls, services, bodies, responses, connections."""
