package compile

import (
	"net/netip"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/rules"
)

// guestFirewall orders them as they take effect: block beats allow, allow beats the default, which blocks.
func guestFirewall(i *lab.Instance, all []lab.GuestFirewallRule, subnet netip.Prefix) *emu.Firewall {
	if i.FirewallOff {
		return nil
	}
	f := &emu.Firewall{Default: i.FirewallOrigin, Rules: slices.Grow([]emu.FirewallRule(nil), len(all))}
	made := map[string]bool{} // a rule that is written twice is made once
	for _, allow := range []bool{false, true} {
		for _, r := range all {
			if id := rules.FirewallRuleID(r.Rule); r.Allow == allow && r.Inactive == "" && !made[id] {
				made[id] = true
				f.Rules = append(f.Rules, firewallRules(id, r, subnet)...)
			}
		}
	}
	return f
}

// firewallRules gives a rule for each remote address and each group of ports that one iptables rule can match.
func firewallRules(id string, r lab.GuestFirewallRule, subnet netip.Prefix) []emu.FirewallRule {
	base := emu.FirewallRule{
		ID:       id,
		Comment:  truncate(r.Text, 200),
		Origin:   r.Origin,
		Drop:     !r.Allow,
		Protocol: r.Protocol,
	}
	remotes := []emu.FirewallRule{}
	for _, p := range r.Remote {
		remote := base
		remote.From = p
		remotes = append(remotes, remote)
	}
	if r.LocalSubnet {
		remote := base
		remote.From = subnet.Masked()
		remotes = append(remotes, remote)
	}
	for _, pair := range r.RemoteRanges {
		remote := base
		remote.FromTo = pair
		remotes = append(remotes, remote)
	}
	if len(remotes) == 0 {
		remotes = []emu.FirewallRule{base}
	}
	var out []emu.FirewallRule
	for _, remote := range remotes {
		if len(r.LocalPorts) == 0 {
			out = append(out, remote)
		}
		for ports := range slices.Chunk(r.LocalPorts, 7) { // multiport takes 15, a range counts as two
			rule := remote
			rule.Ports = ports
			out = append(out, rule)
		}
	}
	return out
}

func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 { // not inside a character
		n--
	}
	return s[:n]
}
