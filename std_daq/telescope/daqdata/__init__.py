"""The protocol DaqData: its messages (`daq_data_pb2`), and the names of its calls."""
