"""Controllers: what menus, buttons and the engine's answers do."""
