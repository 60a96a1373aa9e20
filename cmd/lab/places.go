package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab/api"
	"vnetlab/lab/client"
)

// places formats positions in the files of a lab without the folder that they share.
type places struct{ dir string }

// places returns those of a running lab. If the lab has just ended, positions are printed in full.
func (a *app) places(ctx context.Context, c *client.Client) places {
	s, err := c.Summary(ctx)
	if err != nil {
		return places{}
	}
	return placesOf(s)
}

func placesOf(s api.Summary) places { return places{filepath.Dir(s.File)} }

// short removes the folder from the positions in a text.
func (p places) short(text string) string {
	if p.dir == "" || p.dir == "/" {
		return text
	}
	return strings.ReplaceAll(text, p.dir+"/", "")
}

// line formats a position as file:line.
func (p places) line(o emu.Origin) string {
	o.Column = 0
	return p.short(o.String())
}

// rule formats a rule with its namespace and position.
func (p places) rule(r emu.RuleReference) string {
	text := r.Text
	if text == "" {
		text = r.ID
	}
	text = fmt.Sprintf("by %s: %s", r.Namespace, text)
	if !r.Origin.IsZero() {
		text += " (" + p.line(r.Origin) + ")"
	}
	return text
}
