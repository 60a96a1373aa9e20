package lab_test

import (
	"slices"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/labtest"
)

func TestMeant(t *testing.T) {
	everything, connected := labtest.Everything(t), labtest.Connected(t)
	must(
		t,
		connected.CreateHostedService(lab.HostedService{Name: "labelled", Location: "West US", VirtualNetwork: "West"}),
	)
	must(t, connected.CreateDeployment("labelled", lab.PackageDeployment{VirtualNetwork: "West", Roles: []lab.Role{{
		Name: "Game", InstanceCount: 2, Subnet: "Data", PublicIPName: "game", PublicIPLabel: "play",
	}}}))
	labelled, _ := connected.CloudService("labelled")
	own := labelled.PublicNameOf(labelled.Production, labelled.Production.Instances[1])
	staging := connected.CloudServices[slices.IndexFunc(connected.CloudServices, func(s *lab.CloudService) bool { return s.Name == "shop" })].Staging
	for _, tt := range []struct {
		l    *lab.Lab
		to   string
		want []string
	}{
		{everything, "sql1:1433", []string{"sql1"}},
		{everything, "contactsql.sql1:1433", []string{"sql1"}},
		{everything, "laptop:80", []string{"laptop"}},
		{everything, "contacts:80", []string{"contacts"}},
		{everything, "Contacts.AzureWebsites.net:80", []string{"contacts"}},
		{everything, "contactmanager.cloudapp.net:80", []string{"ContactManager.Web_IN_0", "ContactManager.Web_IN_1"}},
		{everything, "Cassandra.CloudApp.net.:2202", []string{"cas2"}},
		{everything, "cassandra.cloudapp.net:9160", []string{"cas1", "cas2", "cas3"}},
		{everything, "cassandra.cloudapp.net:9160/udp", []string{"cas1", "cas2", "cas3"}}, // no such port: whoever is of the service
		{everything, "cassandra.cloudapp.net:7000", []string{"cas1", "cas2", "cas3"}},
		{everything, "cas2.cassandra.internal.cloudapp.net:7000", []string{"cas2"}},
		{everything, "10.0.2.4:1433", nil},
		{everything, "198.18.0.17:80", nil},
		{everything, "db.corp.example:1433", nil},
		{everything, "nobody.cloudapp.net:80", nil},
		{connected, "desk:445", []string{"desk"}},
		{connected, "shop.cloudapp.net:10101", []string{"Worker_IN_1"}},
		{connected, staging.PrivateID + ".cloudapp.net:10101", []string{"shop.staging.Worker_IN_1"}},
		{connected, own + ":22", []string{"Game_IN_1"}},
		{connected, "shop.staging:10101", []string{"shop.staging.Worker_IN_1"}},
		{connected, "Worker_IN_1.shop.internal.cloudapp.net:22", []string{"Worker_IN_1", "shop.staging.Worker_IN_1"}},
		{connected, "data.cloudapp.net:9043", []string{"data1", "data2", "data3"}}, // internal alone
	} {
		target, err := lab.ParseTarget(tt.to)
		must(t, err)
		got, err := tt.l.EmuTarget(target)
		if err != nil || !slices.Equal(got.Meant, tt.want) || got.Protocol == emu.Protocol("") {
			t.Errorf("%s: got %q, %v, want %q", tt.to, got.Meant, err, tt.want)
		}
	}
}
