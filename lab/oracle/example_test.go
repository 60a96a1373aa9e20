package oracle_test

import (
	"fmt"

	"vnetlab/lab"
	"vnetlab/lab/labfile"
	"vnetlab/lab/oracle"
)

// A SQL server is reached by its endpoint, and by nothing else.
func Example() {
	file := labfile.Input{Path: "sql.yaml", Dir: "/", Text: []byte(`
lab: sql
cloudServices:
  - name: contactsql
    location: West US
    virtualMachines:
      - name: sql1
        endpoints: [{name: sql, protocol: tcp, publicPort: 57500, localPort: 1433}]
        firewall: [allow tcp 1433]
        services: [{port: 1433}]
internetHosts: [{name: laptop}]
`)}
	loaded, err := file.Load(labfile.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{"contactsql.cloudapp.net:57500", "contactsql.cloudapp.net:1433"} {
		target, err := lab.ParseTarget(text)
		if err != nil {
			fmt.Println(err)
			return
		}
		p, err := oracle.Predict(loaded.Lab, "laptop", target)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(target, p.Verdict)
	}
	// Output:
	// contactsql.cloudapp.net:57500 open
	// contactsql.cloudapp.net:1433 blocked
}
