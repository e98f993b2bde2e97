"""The look that all pages of the project share: `theme.css` and `icon.svg`. A page's own style sheet adds its parts."""
