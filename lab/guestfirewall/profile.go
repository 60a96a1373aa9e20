package guestfirewall

import (
	"path"
	"slices"
	"strings"
)

// commonParameters are parameters that all commands of PowerShell have.
var commonParameters = []string{
	"Confirm", "Debug", "Verbose", "AsJob", "ErrorAction", "ErrorVariable", "WarningAction", "WarningVariable",
	"InformationAction", "InformationVariable",
	"OutVariable", "OutBuffer", "PipelineVariable", "ThrottleLimit", "CimSession", "WhatIf", "PolicyStore",
	"GPOSession", "PassThru",
}

// profileParameters are those of Set-NetFirewallProfile that matter here; profileSettings are the others, which
// change nothing in a lab.
var (
	profileParameters = []string{
		"Profile", "Name", "All", "Enabled", "DefaultInboundAction", "DefaultOutboundAction",
		"AllowInboundRules",
	}
	profileSettings = []string{
		"AllowLocalFirewallRules", "AllowLocalIPsecRules", "AllowUserApps", "AllowUserPorts",
		"AllowUnicastResponseToMulticast", "NotifyOnListen",
		"EnableStealthModeForIPsec", "LogFileName", "LogMaxSizeKilobytes", "LogAllowed", "LogBlocked", "LogIgnored",
		"DisabledInterfaceAliases",
	}
	profileKnown = slices.Concat(profileParameters, profileSettings, commonParameters)
)

// parseProfile reads what follows Set-NetFirewallProfile: the firewall as a whole.
func parseProfile(text string, start int) (Command, *Error) {
	// The profiles may come first, without their parameter.
	rest := strings.TrimLeft(text[start:], " \t")
	if first, ok := firstRune(rest); ok && !isDash(first) {
		head := text[:start] + " -Profile "
		c, err := parseProfile(head+rest, start)
		if err != nil {
			err.Offset = max(start, err.Offset-len(" -Profile ")+len(text)-start-len(rest))
		}
		return c, err
	}
	given, err := powerShellParameters(text, start, "Set-NetFirewallProfile", profileKnown)
	if err != nil {
		return Command{}, err
	}
	var profiles Rule
	// Without a profile, the command is for all. The names of profiles may have wildcards.
	if named := slices.Concat(given["Profile"], given["Name"]); named != nil {
		expandProfiles(named)
		if err := profiles.setProfiles(lists(named)); err != nil {
			return Command{}, err
		}
	}
	var c Command
	if v := given["Enabled"]; v != nil {
		enabled, err := gpoBoolean("-Enabled", v[0])
		if err != nil {
			return c, err
		}
		c.Switch = map[string]Switch{"true": TurnOn, "false": TurnOff}[enabled]
	}
	if v := given["DefaultInboundAction"]; v != nil {
		action, err := oneOf("-DefaultInboundAction", v[0], "allow", "block", "notconfigured")
		if err != nil {
			return c, err
		}
		c.Policy = true
		if action == "allow" {
			c.Rules = append(c.Rules, Rule{Name: "DefaultInboundAction", Allow: true})
		}
	}
	if v := given["AllowInboundRules"]; v != nil {
		allowed, err := gpoBoolean("-AllowInboundRules", v[0])
		if err != nil {
			return c, err
		}
		c.Policy = true
		if allowed == "false" {
			c.Rules = append(c.Rules, Rule{Name: "AllowInboundRules"})
		}
	}
	if v := given["DefaultOutboundAction"]; v != nil && strings.EqualFold(v[0].text, "block") {
		return c, fail("outgoing traffic can't be blocked in a lab: its guest firewall filters what comes in").
			at(v[0].offset)
	}
	switch {
	case given["WhatIf"] != nil && !strings.EqualFold(given["WhatIf"][0].text, "false"):
		return Command{Notes: []string{"the command has no effect: -WhatIf only shows what it would do"}}, nil
	case profiles.Inactive != "":
		return Command{Notes: []string{"the command has no effect: " + profiles.Inactive}}, nil
	}
	return c, nil
}

// gpoBoolean reads a setting of a profile, which can also be left to the default.
func gpoBoolean(what string, w word) (string, *Error) {
	words := []string{"false", "true", "notconfigured"} // PowerShell knows them by their numbers, too
	if len(w.text) == 1 && w.text >= "0" && w.text <= "2" {
		return words[w.text[0]-'0'], nil
	}
	return oneOf(what, w, "true", "false", "notconfigured")
}

// expandProfiles replaces a profile with wildcards by the first one that it matches, of which the public one is the
// first.
func expandProfiles(named []word) {
	for i, w := range named {
		for _, p := range profiles[:3] {
			if ok, err := path.Match(strings.ToLower(w.text), p); strings.ContainsAny(w.text, "*?") && ok &&
				err == nil {
				named[i].text = p
				break
			}
		}
	}
}

// setRuleParameters are those of Set-NetFirewallRule that would make another rule of one that Windows came
// with: a lab doesn't know all of such a rule.
var setRuleParameters = []string{
	"Protocol", "LocalPort", "RemotePort", "LocalAddress", "IcmpType", "Program", "Package", "Service",
	"InterfaceAlias",
	"InterfaceType", "LocalUser", "RemoteUser", "RemoteMachine", "Authentication", "Encryption", "OverrideBlockRules",
	"DynamicTarget", "LooseSourceMapping", "LocalOnlyMapping", "Owner", "Platform",
}

// parseEnableRule reads what follows Enable-NetFirewallRule, or Set-NetFirewallRule with -Enabled True: rules
// that Windows came with.
func parseEnableRule(text string, start int, set bool) (Command, *Error) {
	known := append([]string{"Name", "DisplayName", "DisplayGroup", "Group", "Direction"}, commonParameters...)
	command := "Enable-NetFirewallRule"
	if set {
		command = "Set-NetFirewallRule"
		known = slices.Concat(known, setRuleParameters, []string{
			"Enabled", "Profile", "Action", "RemoteAddress", "Description", "NewDisplayName", "EdgeTraversalPolicy",
		})
	}
	given, err := powerShellParameters(text, start, command, known)
	if err != nil {
		return Command{}, err
	}
	if set {
		enabled := given["Enabled"]
		if enabled == nil {
			return Command{}, fail("only Set-NetFirewallRule with -Enabled True is understood").
				hint("write the rule as it should be with New-NetFirewallRule").at(start)
		}
		if yes, err := truth("-Enabled", enabled[0]); err != nil || !yes {
			if err == nil {
				err = fail("rules that Windows comes with can't be disabled here").hint("write a block rule").
					at(enabled[0].offset)
			}
			return Command{}, err
		}
	}
	var as Rule // how the rules are to be
	if set {
		if as, err = setRule(given); err != nil {
			return Command{}, err
		}
	}
	var c Command
	for _, parameter := range []string{"DisplayGroup", "DisplayName", "Name", "Group"} {
		for _, name := range given[parameter] {
			one, err := enablePredefined(name)
			if err != nil {
				return c, err
			}
			one.restrict(as)
			c.Rules, c.Notes = append(c.Rules, one.Rules...), append(c.Notes, one.Notes...)
		}
	}
	if len(c.Rules)+len(c.Notes) == 0 {
		return c, fail("-DisplayGroup is missing").hint(`write %s -DisplayGroup "Remote Desktop"`, command).
			at(len(text))
	}
	return c, nil
}

// restrict limits the rules to the remote addresses and profiles of another one.
func (c *Command) restrict(as Rule) {
	for i := range c.Rules {
		r := &c.Rules[i]
		r.Remote, r.RemoteRanges = slices.Clone(as.Remote), slices.Clone(as.RemoteRanges)
		r.LocalSubnet, r.Inactive, r.Note = as.LocalSubnet, as.Inactive, as.Note
	}
}

// setRule reads what Set-NetFirewallRule changes beside enabling a rule: remote addresses and profiles.
func setRule(given map[string][]word) (Rule, *Error) {
	var r Rule
	for _, name := range setRuleParameters {
		if v := given[name]; v != nil {
			return r, fail("Set-NetFirewallRule with -%s is not understood: only with -Profile and -RemoteAddress",
				name).
				hint("write the rule as it should be with New-NetFirewallRule").at(v[0].offset)
		}
	}
	if v := given["Action"]; v != nil {
		if action, err := oneOf("-Action", v[0], "allow", "block"); err != nil || action == "block" {
			if err == nil {
				err = fail("rules that Windows comes with can't be changed to block here").hint("write a block rule").
					at(v[0].offset)
			}
			return r, err
		}
	}
	if v := given["Profile"]; v != nil {
		if err := r.setProfiles(lists(v)); err != nil {
			return r, err
		}
	}
	if v := given["RemoteAddress"]; v != nil {
		return r, r.setRemote(lists(v))
	}
	return r, nil
}
