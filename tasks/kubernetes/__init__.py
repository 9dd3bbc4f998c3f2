"""The cluster itself: kubeadm, its add-ons, its members, and the proof."""
