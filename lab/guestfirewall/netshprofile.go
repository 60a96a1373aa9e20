package guestfirewall

import (
	"slices"
	"strings"

	"vnetlab/lab/spelling"
)

// netshProfile reads netsh advfirewall set ...profile: the firewall as a whole. The network of an Azure virtual
// machine is public, so what is set for other profiles has no effect.
func netshProfile(words []word, end int) (Command, *Error) {
	const expected = "expected netsh advfirewall set allprofiles state off"
	if len(words) < 2 {
		return Command{}, fail("%s", netshArguments).hint(expected).at(end)
	}
	public := false
	switch profile := strings.ToLower(words[0].text); profile {
	case "global":
		return Command{Notes: []string{"the command has no effect: a lab has no global settings of a firewall"}}, nil
	case "allprofiles", "currentprofile", "publicprofile":
		public = true
	case "domainprofile", "privateprofile":
	default:
		err := fail("%s, got %.60q instead of the profile", expected, words[0].text).at(words[0].offset)
		err.Hint = spelling.DidYouMean(profile, []string{
			"allprofiles", "currentprofile", "publicprofile",
			"domainprofile", "privateprofile",
		})
		return Command{}, err
	}
	var c Command
	switch setting := strings.ToLower(words[1].text); {
	case setting == "state" && len(words) == 3:
		state, err := oneOf("state", words[2], "on", "off", "notconfigured")
		if err != nil {
			return c, err
		}
		c.Switch = map[string]Switch{"on": TurnOn, "off": TurnOff, "notconfigured": TurnOn}[state]
	case setting == "firewallpolicy" && len(words) == 3:
		if err := c.setPolicy(words[2]); err != nil {
			return c, err
		}
	case setting == "settings", setting == "logging":
		c.Notes = []string{"the command has no effect: a lab has no " + setting + " of a firewall"}
	default:
		err := fail("%s, got %.60q instead of state", expected, words[1].text).at(words[1].offset)
		err.Hint = spelling.DidYouMean(setting, []string{"state", "firewallpolicy", "settings", "logging"})
		return c, err
	}
	if !public {
		return Command{Notes: []string{"the command has no effect: " + notForPublic}}, nil
	}
	return c, nil
}

// setPolicy reads what happens to connections that no rule matches: BLOCKINBOUND,ALLOWOUTBOUND.
func (c *Command) setPolicy(w word) *Error {
	policies := w.list()
	if len(policies) != 2 {
		return fail("expected a policy such as blockinbound,allowoutbound, got %.60q", w.text).at(w.offset)
	}
	in, err := oneOf("the policy for incoming traffic", policies[0], "blockinbound", "allowinbound",
		"blockinboundalways", "notconfigured")
	if err != nil {
		return err
	}
	out, err := oneOf("the policy for outgoing traffic", policies[1], "allowoutbound", "blockoutbound", "notconfigured")
	if err != nil {
		return err
	}
	if out == "blockoutbound" {
		return fail("outgoing traffic can't be blocked in a lab: its guest firewall filters what comes in").
			at(policies[1].offset)
	}
	c.Policy = true
	switch in {
	case "allowinbound":
		c.Rules = []Rule{{Name: "firewall policy", Allow: true}}
	case "blockinboundalways":
		c.Rules = []Rule{{Name: "firewall policy"}}
	}
	return nil
}

// netshEnable reads netsh advfirewall firewall set rule ... new enable=yes.
func netshEnable(words []word, end int) (Command, *Error) {
	at := slices.IndexFunc(words, func(w word) bool { return strings.EqualFold(w.text, "new") })
	if at < 1 || at == len(words)-1 {
		return Command{}, fail("%s", netshArguments).
			hint(`expected netsh advfirewall firewall set rule group="NAME" new enable=yes`).at(end)
	}
	which, err := netshTags(words[:at], []string{
		"group", "name", "dir", "profile", "program", "service", "localip",
		"remoteip", "localport", "remoteport", "protocol",
	},
		"netsh advfirewall firewall set rule")
	if err != nil {
		return Command{}, err
	}
	changes, err := netshTags(words[at+1:], append([]string{"new"}, netshKnown...),
		"netsh advfirewall firewall set rule")
	if err != nil {
		return Command{}, err
	}
	// The word new is among the changes no more: words[at] is it.
	var as Rule
	for name, value := range changes {
		var err *Error
		switch name {
		case "enable":
		case "profile":
			err = as.setProfiles(value.list())
		case "remoteip":
			err = as.setRemote(value.list())
		default:
			err = fail("only new enable=yes is understood, with profile= and remoteip=: other changes of rules are " +
				"not").
				hint("write the rule as it should be with add rule").at(words[at].offset)
		}
		if err != nil {
			return Command{}, err
		}
	}
	if _, ok := changes["enable"]; !ok {
		return Command{}, fail("enable=yes is missing: changes of rules that stay disabled are not understood").
			hint("write the rule as it should be with add rule").at(words[at].offset)
	}
	if yes, err := oneOf("enable", changes["enable"], "yes", "no"); err != nil || yes == "no" {
		if err == nil {
			err = fail("rules that Windows comes with can't be disabled here").hint("write a block rule").
				at(changes["enable"].offset)
		}
		return Command{}, err
	}
	name, ok := which["group"]
	if !ok {
		name, ok = which["name"]
	}
	if !ok {
		return Command{}, fail("%s", netshArguments).hint("expected group= or name=").at(end)
	}
	c, err := enablePredefined(name)
	c.restrict(as)
	return c, err
}
