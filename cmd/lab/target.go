package main

import (
	"errors"

	"vnetlab/lab"
)

// checkTarget refuses what can't be a target of any lab: a wrong command line, whichever lab it is about.
func checkTarget(text string) error {
	_, err := lab.ParseTarget(text)
	var refusal *lab.Error
	if errors.As(err, &refusal) {
		return &failure{status: exitUsage, code: refusal.Code, message: refusal.Message, hint: refusal.Hint, err: err}
	}
	return err
}
