"""Built-in plugins: one capability each, on the same terms as anyone's."""
