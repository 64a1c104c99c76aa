"""UDP datagrams out of pcap and pcapng files, whatever link they were captured on."""
