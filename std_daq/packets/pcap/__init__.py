"""Reading UDP datagrams from pcap and pcapng files, for the usual link layers."""
