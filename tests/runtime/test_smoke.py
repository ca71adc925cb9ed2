import time
def test_it(bed):
    t=time.time()
    print(bed.says("id; cat /proc/self/uid_map; grep -E 'Cap|NoNew|Seccomp' /proc/self/status; cat /etc/resolv.conf; pwd; echo $HOME $PATH; ls -la / /dev; cat /proc/mounts; touch /tmp/x"), )
    print(time.time()-t)
