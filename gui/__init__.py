"""The desktop application of Convscope: models, widgets, views, controllers and the window."""
