def libvirt_tcp(host, on): raise NotImplementedError
def command(options): raise NotImplementedError
