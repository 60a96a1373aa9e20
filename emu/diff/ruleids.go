package diff

// CheckRules does what [emu.CheckRules] does, for the namespaces that the change adds or whose rules it changes.
func (c *Change) CheckRules() error {
	for _, s := range c.Added {
		if err := s.CheckRules(); err != nil {
			return err
		}
	}
	for _, s := range c.Changed {
		if s.Ruleset == nil && s.Switch == nil && s.Firewall == nil {
			continue
		}
		if err := s.To.CheckRules(); err != nil {
			return err
		}
	}
	return nil
}
